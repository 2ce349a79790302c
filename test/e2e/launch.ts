/** What an MCP client is configured with: the command that it launches. */
export interface Launch {
  command: string;
  args: string[];
  env: Record<string, string>;
}

/** The SDK's own: progress that comes in one chunk with the result is looked up after the token was forgotten. */
export function isRace(error: Error): boolean {
  return error.message.includes("progress notification for an unknown token");
}
