export async function cliMain(_argv: string[]): Promise<number> {
  return 1;
}
