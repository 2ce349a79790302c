export async function bridgeMain(_argv: string[]): Promise<number> {
  return 1;
}
