export async function frontMain(_argv: string[], _embedded: () => Promise<unknown>): Promise<number> {
  return 1;
}
