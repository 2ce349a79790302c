/** A door for the conformance tool, which cannot send a token: adds it, and changes nothing else. */
export function keyedDoor(url: string, token: string): { url: string } & Disposable {
  const { origin, pathname, search } = new URL(url);
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    async fetch(request) {
      const headers = new Headers(request.headers);
      headers.set("authorization", `Bearer ${token}`);
      const { method, body, signal } = request;
      const answer = await fetch(origin + new URL(request.url).pathname + search, {
        method,
        headers,
        body,
        signal,
        decompress: false,
      });
      return new Response(answer.body, answer);
    },
  });
  return { url: `http://localhost:${server.port}${pathname}`, [Symbol.dispose]: () => void server.stop(true) };
}
