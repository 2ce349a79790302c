/** The benchmark's own use of the engine: the peers that Linkspan is compared with. */
import { once } from "node:events";
import Docker from "dockerode";
import { pack } from "tar-stream";
import type { Channel } from "./channel.ts";

export const docker = new Docker();

/** An image FROM scratch whose only file is the static echo server. */
export async function importImage(name: string, executable: string): Promise<void> {
  const archive = pack();
  archive.entry({ name: "echo", mode: 0o755 }, Buffer.from(await Bun.file(executable).arrayBuffer()));
  archive.finalize();
  const chunks: Uint8Array[] = [];
  archive.on("data", (chunk) => {
    if (chunk instanceof Uint8Array) chunks.push(chunk);
  });
  await once(archive, "end");
  const [repo = name, tag = "latest"] = name.split(":");
  const body = Bun.file(`/tmp/linkspan-bench-${process.pid}.tar`);
  await Bun.write(body, Buffer.concat(chunks));
  const stream = await docker.importImage(body.name ?? "", { repo, tag, changes: ['ENTRYPOINT ["/echo"]'] });
  await new Promise<void>((resolve, reject) =>
    docker.modem.followProgress(stream, (error: Error | null) => (error ? reject(error) : resolve())),
  );
  await body.delete();
}

/** A container that dockerode is attached to: what an MCP client library on top of dockerode does. */
export async function attachedChannel(image: string): Promise<Channel> {
  const container = await docker.createContainer({
    _query: {},
    _body: { Image: image, OpenStdin: true, StdinOnce: true, HostConfig: { AutoRemove: true } },
  } as unknown as Docker.ContainerCreateOptions);
  const stream = await container.attach({ stream: true, hijack: true, stdin: true, stdout: true, stderr: false });
  await container.start();
  const channel: Channel = {
    write: (bytes) => void stream.write(bytes),
    onData: () => {},
    async [Symbol.asyncDispose]() {
      stream.end();
      await container.remove({ force: true }).catch(() => {});
    },
  };
  container.modem.demuxStream(stream, { write: (chunk: Uint8Array) => channel.onData(chunk) } as never, process.stderr);
  return channel;
}

/** A container that sleeps in the echo server, for `docker exec` per request. */
export async function idleContainer(image: string): Promise<{ id: string } & AsyncDisposable> {
  const container = await docker.createContainer({
    _query: {},
    _body: { Image: image, OpenStdin: true, HostConfig: {} },
  } as unknown as Docker.ContainerCreateOptions);
  await container.start();
  return { id: container.id, [Symbol.asyncDispose]: async () => void (await container.remove({ force: true })) };
}
