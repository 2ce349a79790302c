/** Why a session has ended, as the fault that its requests get. Pure. */
import { Fault } from "../base/fault.ts";
import type { SessionEnd } from "../transport/session.ts";

const UNKNOWN = "whether the request was carried out is not known";

/** `epitaph`: what is known of the end, in words, where the bridge could not say. */
export function faultOf(end: SessionEnd, epitaph?: string): Fault {
  if (end.why === "detached") return new Fault("cancelled", `the session has ended; ${UNKNOWN}`);
  if (end.why === "lost") {
    const { fault } = end;
    return new Fault(fault.kind, `${epitaph ?? fault.message}; ${UNKNOWN}`, {
      ...(fault.hint === undefined ? {} : { hint: fault.hint }),
      ...(fault.data === undefined ? {} : { data: fault.data }),
      cause: fault,
    });
  }
  const { code, signal, oom, reason, stderr } = end.report;
  return new Fault("server-failed", reason, { data: { code, signal, oom, stderr } });
}
