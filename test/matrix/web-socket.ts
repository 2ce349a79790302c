/** A WebSocket as a transport of either SDK; that of the SDK 1.x sends no token. */
export class WebSocketTransport {
  onmessage?: (message: never) => void;
  onclose?: () => void;
  onerror?: (error: Error) => void;
  private socket: WebSocket | undefined;

  constructor(
    private readonly url: string,
    private readonly token: string,
  ) {}

  async start(): Promise<void> {
    const socket = new WebSocket(this.url, { protocols: "mcp", headers: { authorization: `Bearer ${this.token}` } });
    this.socket = socket;
    await new Promise<void>((resolve, reject) => {
      socket.onopen = () => resolve();
      socket.onerror = () => reject(new Error(`no WebSocket at ${this.url}`));
    });
    socket.onmessage = ({ data }) => this.onmessage?.(JSON.parse(String(data)) as never);
    socket.onclose = () => this.onclose?.();
  }

  async send(message: unknown): Promise<void> {
    this.socket?.send(JSON.stringify(message));
  }

  async close(): Promise<void> {
    this.socket?.close();
  }
}
