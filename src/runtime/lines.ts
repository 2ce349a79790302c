const LINES_MAX = 1_000;
const LINE_CHARS_MAX = 4_096;

/** What a program says, line by line, to its end; of what is more or longer than anybody reads, the rest is dropped. */
export async function readLines(stream: ReadableStream<Uint8Array>, hear: (line: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  let count = 0;
  const tell = (line: string) => {
    if (line.trim() !== "" && count++ < LINES_MAX) hear(line.trim());
  };
  for await (const chunk of stream) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = (parts.pop() ?? "").slice(0, LINE_CHARS_MAX);
    for (const line of parts) tell(line);
  }
  tell(rest);
}
