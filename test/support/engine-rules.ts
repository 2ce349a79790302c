/**
 * Which calls of the engine's API belong to which level: the oracle of the tests, and the list in docs/safety.md for those
 * who put a proxy in front of the engine's socket. Written by hand from the API's reference, not from what the tools do.
 */

export const LEVELS = ["safe", "moderate", "destructive"] as const;
export type EngineLevel = (typeof LEVELS)[number];

const ONE = "[^/?]+";
/** An image's reference has slashes. */
const REF = "[^?]+";

/** At the level and those above it. `GET` stands for HEAD, too. */
const TABLE: Record<EngineLevel, [method: string, ...paths: string[]][]> = {
  // There is no POST among them: every question that the tools ask is a GET.
  safe: [
    ["GET", "_ping", "version", "info", "events", "system/df", "images/search"],
    ["GET", `containers/json`, `containers/${ONE}/(json|logs|top|changes|stats|archive|export)`, `exec/${ONE}/json`],
    ["GET", "images/json", `images/${REF}/(json|history|get)`, `distribution/${REF}/json`],
    ["GET", "networks", `networks/${ONE}`, "volumes", `volumes/${ONE}`, "swarm"],
    ["GET", `(services|nodes|tasks|secrets|configs)(/${ONE})?`, `(services|tasks)/${ONE}/logs`],
  ],
  moderate: [
    ["POST", "containers/create", `containers/${ONE}/(start|stop|restart|pause|unpause|rename|update|exec|wait)`],
    [
      "POST",
      `exec/${ONE}/start`,
      "commit",
      "build",
      "images/create",
      "images/load",
      "auth",
      `images/${REF}/(tag|push)`,
    ],
    ["PUT", `containers/${ONE}/archive`],
    ["POST", "networks/create", `networks/${ONE}/(connect|disconnect)`, "volumes/create"],
    ["POST", "(services|secrets|configs)/create", `(services|nodes)/${ONE}/update`, "swarm/(init|join|update)"],
  ],
  destructive: [
    ["POST", `containers/${ONE}/kill`, "build/prune", "swarm/leave"],
    [
      "DELETE",
      `containers/${ONE}`,
      `images/${REF}`,
      `networks/${ONE}`,
      `volumes/${ONE}`,
      `(services|nodes|secrets|configs)/${ONE}`,
    ],
  ],
};

export interface EngineRule {
  level: EngineLevel;
  method: string;
  /** Of the path without its query. */
  pattern: string;
}

export const ENGINE_RULES: readonly EngineRule[] = LEVELS.flatMap((level) =>
  TABLE[level].flatMap(([method, ...paths]) =>
    paths.flatMap((path) => {
      const pattern = `^(/v[0-9.]+)?/${path}$`;
      return (method === "GET" ? ["GET", "HEAD"] : [method]).map((verb) => ({ level, method: verb, pattern }));
    }),
  ),
);

export function admits(level: EngineLevel, method: string, path: string): boolean {
  const up = LEVELS.slice(0, LEVELS.indexOf(level) + 1);
  return ENGINE_RULES.some(
    (rule) => up.includes(rule.level) && rule.method === method && new RegExp(rule.pattern).test(path),
  );
}

/** For docs/safety.md: one line for each pattern. */
export function rulesText(): string {
  const shown = ENGINE_RULES.filter(({ method }) => method !== "HEAD");
  return shown
    .map(
      ({ level, method, pattern }) =>
        `${level.padEnd(12)}${(method === "GET" ? "GET,HEAD" : method).padEnd(9)}${pattern}`,
    )
    .join("\n");
}
