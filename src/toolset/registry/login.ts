import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import { encodeAuth, registryOf } from "../../docker/credentials.ts";
import type { Environment } from "../../docker/endpoint.ts";
import { output } from "../output.ts";
import { tool } from "../tool.ts";

const registryName = v.pipe(
  v.string(),
  v.maxLength(255),
  v.regex(
    /^(localhost|[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)+|[a-zA-Z0-9.-]+(?=:)|\[[0-9a-fA-F:]+\](?=:))(:\d{1,5})?$/,
    "expected a registry such as registry.example.com or localhost:5000, as it is in the names of its images",
  ),
);
const word = v.pipe(
  v.string(),
  v.minLength(1),
  v.maxLength(16 * 1024),
  v.check((text) => !/[\0\r\n]/.test(text), "line ends and NUL characters are not allowed"),
);

const input = v.pipe(
  v.strictObject({
    login: v.optional(
      v.pipe(
        v.string(),
        v.regex(/^[a-zA-Z][a-zA-Z0-9_]{0,63}$/, "expected a name such as work"),
        v.description("work: the login that whoever configures this server has put into LINKSPAN_REGISTRY_WORK"),
      ),
    ),
    registry: v.optional(v.pipe(registryName, v.description("As in the names of its images; Docker Hub without it"))),
    username: v.optional(word),
    password: v.optional(
      v.pipe(
        word,
        v.description(
          "Warning: what is written here is seen by the model and by whoever keeps the conversation. Use login, or a token that is short-lived and may only pull",
        ),
      ),
    ),
  }),
  v.check(
    ({ login, registry, username, password }) =>
      login === undefined
        ? username !== undefined && password !== undefined
        : registry === undefined && username === undefined && password === undefined,
    "expected either login, or username and password",
  ),
);

/** `{"Status":"Login Succeeded","IdentityToken":""}`, or nothing where the registry asked for no name. */
const answer = v.optional(v.looseObject({ IdentityToken: v.optional(v.string(), "") }));

export const loginRegistryTool = tool({
  name: "docker_login_registry",
  category: "registry",
  title: "Log in to a registry",
  description:
    "Checks a login with a registry and uses it for docker_pull_image and docker_push_image until this server ends, instead of docker login's. It is kept in memory only and never shown.",
  level: "moderate",
  time: "work",
  idempotent: true,
  openWorld: true,
  input,
  output: output({ registry: v.string(), username: v.string() }),
  example: { login: "work" },
  async handle(asked, call) {
    const { registry, username, password } =
      asked.login === undefined
        ? { registry: asked.registry, username: asked.username ?? "", password: asked.password ?? "" }
        : configured(asked.login, call.env);
    const serveraddress = registry === undefined ? registryOf("") : registryOf(`${registry}/`);
    const what = `logging in to ${serveraddress}`;
    const body = { username, password, serveraddress };
    const found = await (
      await call.engine()
    )
      .call({ what, method: "POST", path: "/auth", body }, answer, call.deadline)
      .catch((error: unknown) => {
        throw told(error, what, password);
      });
    const identitytoken = found?.IdentityToken;
    call.logins().set(serveraddress, encodeAuth(identitytoken ? { identitytoken, serveraddress } : body));
    return { registry: serveraddress, username };
  },
  text: ({ registry, username }) => `${username} is logged in to ${registry}, until this server ends`,
});

/** A registry may repeat what it was sent. */
function told(error: unknown, what: string, password: string): Fault {
  const fault = Fault.from(error);
  const wrong = fault.kind === "unauthenticated";
  const hint = wrong ? "Check the registry, the user name and the password or token." : fault.hint;
  const message = fault.message.includes(password) ? `${what}: it was refused` : fault.message;
  return new Fault(fault.kind, message, hint === undefined ? {} : { hint });
}

const PREFIX = "LINKSPAN_REGISTRY_";

/**
 * `USER:PASSWORD@REGISTRY` of the variable. The registry is part of it on purpose: whoever calls can use the login, and
 * cannot send it anywhere else.
 */
function configured(login: string, env: Environment) {
  const name = `${PREFIX}${login.toUpperCase()}`;
  const value = env[name];
  const hint = `Whoever configures this server sets it to USER:PASSWORD@REGISTRY.`;
  if (!value) throw new Fault("not-found", `the variable ${name} is not set`, { hint });
  const [, username = "", password = "", registry = ""] = /^([^:]+):(.+)@([^@]+)$/s.exec(value) ?? [];
  if (!v.is(registryName, registry) || !v.is(word, password))
    throw new Fault("invalid", `the variable ${name} is not USER:PASSWORD@REGISTRY`, { hint });
  return { registry, username, password };
}
