export async function healthMain(_argv: string[]): Promise<number> {
  return 1;
}
