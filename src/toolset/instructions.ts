/** What clients are told of the toolsets that they are given. */
const DOCKER =
  "Tools for the containers, images, networks and volumes of a Docker engine. Reading ones are safe. A destructive one first answers with a plan of what it would remove, and does it when that is confirmed; docker_undo brings back what was removed.";

const SERVERS = "Tools for the MCP servers that Linkspan runs in containers: run, look at, call, stop and remove them.";

const CREATE =
  "Tools that create small MCP servers in containers of their own, change and call them; save-server keeps one for later sessions, all others end with this one; docker_undo brings back what was deleted.";

const INSTRUCTIONS = new Map([
  ["docker", DOCKER],
  ["servers", SERVERS],
  ["create", CREATE],
]);

export function instructionsOf(names: readonly string[]): string {
  const found = [...INSTRUCTIONS].flatMap(([name, text]) => (names.includes(name) ? [text] : []));
  return found.length > 0 ? found.join(" ") : DOCKER;
}
