/** The manager's TCP port as a transport of either SDK: an attach line, then one message a line. */
import { connect, type Socket } from "node:net";
import { createInterface } from "node:readline";

export class TcpTransport {
  onmessage?: (message: never) => void;
  onclose?: () => void;
  onerror?: (error: Error) => void;
  private socket: Socket | undefined;

  constructor(
    private readonly port: number,
    private readonly attach: Record<string, unknown>,
  ) {}

  async start(): Promise<void> {
    const socket = connect(this.port, "127.0.0.1");
    this.socket = socket;
    await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    socket.on("error", (error) => this.onerror?.(error)).once("close", () => this.onclose?.());
    // What node:readline takes for the end of a line beside \n does not come unescaped in what the fixtures say.
    createInterface(socket).on("line", (line) => this.onmessage?.(JSON.parse(line) as never));
    await this.send({ link: "attach", ...this.attach });
  }

  async send(message: unknown): Promise<void> {
    this.socket?.write(`${JSON.stringify(message)}\n`);
  }

  async close(): Promise<void> {
    this.socket?.destroy();
  }
}
