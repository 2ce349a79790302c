import * as v from "valibot";
import { imageRef } from "../model/server-spec.ts";
import { Fault } from "../base/fault.ts";
import { command } from "./command.ts";
import { showProgress } from "./progress.ts";
import { note, onStderr, print, printJson } from "./terminal.ts";

const TOKEN_FILE = "/run/secrets/linkspan-token";

export const wrap = command({
  define: (program) =>
    program
      .argument("<ref>", "an image, npm:PACKAGE[@VERSION] or pypi:PACKAGE[@VERSION]")
      .argument(
        "[args...]",
        "arguments of the server, instead of the image's; write -- before those that begin with a dash",
      )
      .requiredOption("-t, --tag <image>", "what to call the new image")
      .option("--token-file <path>", `where a container finds the token (default: ${TOKEN_FILE})`)
      .option("--insecure", "no token: whoever reaches the port is served"),
  examples: [
    ["linkspan wrap me/server:1 -t me/server:1-linkspan", "an image that speaks MCP on TCP port 5465 by itself"],
    [
      "linkspan wrap npm:@modelcontextprotocol/server-everything -t everything-linkspan",
      "an image from an npm package",
    ],
  ],
  options: v.object({
    tag: v.pipe(
      imageRef,
      v.check((tag) => !/^(npm|pypi):/.test(tag), "expected a name for an image, such as me/server:1"),
    ),
    tokenFile: v.optional(v.pipe(v.string(), v.startsWith("/", "expected an absolute path in the container"))),
    insecure: v.optional(v.boolean(), false),
  }),
  async run({ args: [ref = "", ...args], options: { tag, tokenFile, insecure }, json, services }) {
    if (insecure && tokenFile !== undefined) throw new Fault("usage", "--token-file and --insecure exclude each other");
    const image = v.safeParse(imageRef, ref);
    if (!image.success) throw new Fault("usage", `${JSON.stringify(ref)}: ${image.issues[0].message}`);
    const progress = showProgress();
    const request = {
      image: ref,
      tag,
      args: args.length > 0 ? args : undefined,
      tokenFile: insecure ? undefined : (tokenFile ?? TOKEN_FILE),
    };
    const id = await services.wrapImage(request, progress.report).finally(() => progress.end());
    if (json) return printJson({ id, tag, from: ref });
    print(tag);
    const mount = insecure ? "" : ` -v TOKENFILE:${request.tokenFile}:ro`;
    if (process.stderr.isTTY) note(onStderr.dim(`Next: docker run -d --init -p 127.0.0.1:5465:5465${mount} ${tag}`));
  },
});
