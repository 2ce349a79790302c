/** Lines as text out of ranges of bytes: a list of parts while a line is incomplete, one decode per line. */
const NEWLINE = 0x0a;

export class LineText {
  private parts: Uint8Array[] = [];
  private partBytes = 0;
  private stopped = false;

  /** `overlong` is called once, instead of `deliver`, for a line above `maxBytes`; nothing is delivered after it. */
  constructor(
    private readonly maxBytes: number,
    private readonly deliver: (line: string) => void,
    private readonly overlong: () => void,
  ) {}

  push(range: Uint8Array): void {
    let at = 0;
    while (!this.stopped && at < range.byteLength) {
      const newline = range.indexOf(NEWLINE, at);
      const end = newline < 0 ? range.byteLength : newline;
      this.partBytes += end - at;
      if (this.partBytes > this.maxBytes) {
        this.stopped = true;
        this.parts = [];
        return this.overlong();
      }
      this.parts.push(range.subarray(at, end));
      if (newline < 0) return;
      const line = this.parts.length === 1 ? text(this.parts[0]) : text(Buffer.concat(this.parts));
      this.parts = [];
      this.partBytes = 0;
      at = newline + 1;
      if (line !== "") this.deliver(line);
    }
  }
}

function text(bytes: Uint8Array | undefined): string {
  if (!bytes) return "";
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
}
