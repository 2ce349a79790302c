export async function serveMain(_argv: string[]): Promise<number> {
  return 1;
}
export async function embeddedManager(): Promise<unknown> {
  return undefined;
}
