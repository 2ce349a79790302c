/** The first line of a client of the manager's port, and the first word of a bridge that does not know it. */
import { type AttachFrame, parseBridgeFrame, parseDialerFrame } from "../../bridge/wire.ts";
import { Fault } from "../base/fault.ts";
import { sameToken } from "./tokens.ts";

const ERROR_FRAME = Buffer.from('{"link":"error"');

export const ATTACH_HINT = {
  hint: 'The first line is {"link":"attach","server":"NAME","token":"…"}; linkspan token prints it.',
};

/** The token is right: who refuses it is another server's bridge. */
export function isStranger(first: Uint8Array): boolean {
  const bytes = Buffer.from(first.buffer, first.byteOffset, first.byteLength);
  if (!bytes.subarray(0, ERROR_FRAME.byteLength).equals(ERROR_FRAME)) return false;
  const [line = ""] = bytes.toString().split("\n", 1);
  const frame = parseBridgeFrame(line);
  return typeof frame !== "string" && frame.link === "error" && frame.kind === "unauthenticated";
}

/** `token`: what the client has to know; undefined where whoever can connect may. */
export function readAttach(line: string, token: string | undefined): AttachFrame | Fault {
  const frame = parseDialerFrame(line.replace(/\r$/, ""));
  if (typeof frame === "string" || frame.link !== "attach") {
    const why = typeof frame === "string" ? frame : `the first frame is ${frame.link}`;
    return new Fault("unauthenticated", `attach comes first: ${why}`, ATTACH_HINT);
  }
  if (token !== undefined && !sameToken(frame.token ?? "", token)) {
    return new Fault("unauthenticated", "the token is wrong", ATTACH_HINT);
  }
  if (frame.mode !== "session") return new Fault("forbidden", "this port has sessions only");
  if (!frame.server && frame.group === undefined) return new Fault("usage", "attach names no server", ATTACH_HINT);
  return frame;
}

/** Whether this process answers the client itself: several servers as one, or one in whatever era the client speaks. */
export function isForGateway({ server, group, translate }: AttachFrame): boolean {
  return server === "*" || group !== undefined || translate === true;
}
