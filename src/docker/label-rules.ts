/** Labels by which Linkspan knows what is its own; src/runtime/labels.ts has what each is for. */
const OWN =
  /^(linkspan\.(instance|owner|server|spec|lease|nonce|sealed|bridge|carrier|blank)|mcp-(service|session|started))$/i;

/** Whether none of them is: others may be given to anything. */
export function areForeign(labels: Readonly<Record<string, string>>): boolean {
  return !Object.keys(labels).some((key) => OWN.test(key)) && labels["managed-by"] !== "linkspan";
}
