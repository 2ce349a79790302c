import * as v from "valibot";
import { formatEndpoint } from "../../docker/endpoint.ts";
import { output } from "../output.ts";
import { tool } from "../tool.ts";

export const versionTool = tool({
  name: "docker_version",
  category: "system",
  title: "Engine version",
  description: "The container engine's version, the API version agreed with it, its system and where it is reached.",
  level: "safe",
  time: "quick",
  input: v.strictObject({}),
  output: output({
    version: v.string(),
    api: v.string(),
    os: v.string(),
    arch: v.string(),
    endpoint: v.string(),
    podman: v.boolean(),
  }),
  example: {},
  async handle(_, call) {
    const { version, api, os, arch, endpoint, isPodman: podman } = await call.engine();
    return { version, api, os, arch, podman, endpoint: formatEndpoint(endpoint) };
  },
  text: ({ version, api, os, arch, endpoint }) => `Engine ${version} (API ${api}) on ${os}/${arch} at ${endpoint}`,
});
