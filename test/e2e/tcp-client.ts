/** A plain TCP client: newline-delimited JSON and nothing else, as somebody would write it in any language. */
import { until } from "../support/until.ts";
import type { Message } from "./raw-front.ts";

export class TcpClient implements Disposable {
  readonly lines: string[] = [];
  ended = false;
  private socket: Bun.Socket | undefined;
  private writable = () => {};

  static async connect(port: number, hostname = "127.0.0.1"): Promise<TcpClient> {
    const client = new TcpClient();
    const decoder = new TextDecoder();
    let rest = "";
    client.socket = await Bun.connect({
      hostname,
      port,
      allowHalfOpen: true,
      socket: {
        data(_socket, chunk) {
          const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
          rest = lines.pop() ?? "";
          client.lines.push(...lines);
        },
        drain() {
          client.writable();
        },
        end(socket) {
          client.ended = true;
          socket.end();
        },
        close() {
          client.ended = true;
        },
        error() {
          client.ended = true;
        },
      },
    });
    return client;
  }

  send(...messages: unknown[]): void {
    const text = messages.map((message) => `${JSON.stringify(message)}\n`).join("");
    if (this.socket?.write(text) !== Buffer.byteLength(text)) throw new Error("the connection did not take it all");
  }

  sendBytes(bytes: Uint8Array): void {
    if (!this.ended && this.socket?.write(bytes) !== bytes.byteLength)
      throw new Error("the connection did not take it all");
  }

  /** Sends as fast as the other end takes it; false when it takes nothing for `ms`. */
  async offer(bytes: Uint8Array, ms = 20_000): Promise<boolean> {
    for (let rest = bytes; ;) {
      rest = rest.subarray(this.ended ? rest.byteLength : (this.socket?.write(rest) ?? 0));
      if (rest.byteLength === 0) return !this.ended;
      const writable = new Promise<boolean>((resolve) => {
        this.writable = () => resolve(true);
      });
      if (!(await Promise.race([writable, Bun.sleep(ms).then(() => false)]))) return false;
    }
  }

  /** Reads nothing from now on. */
  pause(): void {
    this.socket?.pause();
  }

  /** Nothing more will be sent; answers can still come. */
  halfClose(): void {
    this.socket?.shutdown();
  }

  answer(id: string | number): Promise<Message> {
    const find = () => this.messages.find((message) => message.id === id);
    return until(`the answer to ${id} among ${JSON.stringify(this.lines)}`, find);
  }

  get messages(): Message[] {
    return this.lines.map((line): Message => JSON.parse(line));
  }

  [Symbol.dispose](): void {
    this.socket?.terminate();
  }
}
