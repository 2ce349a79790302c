/** What a connection may ask once it is attached, and the answers of the bridge as a whole. */
import { isToken } from "./authenticate.ts";
import type { Bridge, Refusal } from "./bridge.ts";
import type { Session } from "./session.ts";
import { type BridgeFrame, type DialerFrame, LIMITS, WIRE_VERSION } from "./wire.ts";

/** Why a first frame does not open the door. */
export function refusalOf(frame: DialerFrame, tokenSha256: Uint8Array | undefined): Refusal | undefined {
  if (frame.link !== "attach") return { kind: "unauthenticated", message: "attach comes first" };
  if (tokenSha256 && !isToken(frame.token, tokenSha256)) {
    return { kind: "unauthenticated", message: "the token is wrong or missing" };
  }
  return frame.version === 0 ? { kind: "unsupported", message: "there is no wire version 0" } : undefined;
}

/** Does what a client's frame says. Returns why it does not, or `detach` for a client that leaves. */
export function serve(
  bridge: Bridge,
  session: Session | undefined,
  frame: DialerFrame,
  answer: (frame: BridgeFrame) => void,
): Refusal | "detach" | undefined {
  switch (frame.link) {
    case "ack":
      if (session?.acknowledge(frame.received) !== false) return undefined;
      return { kind: "usage", message: `${frame.received} messages are acknowledged; so many were never sent` };
    case "health":
      answer({ link: "health", ...bridge.health() });
      return undefined;
    case "lease":
      // To be heard is all that it takes.
      return undefined;
    case "detach":
      if (!frame.drain) return "detach";
      session?.endOfClient();
      return undefined;
    default:
      return { kind: "usage", message: `a session connection takes no ${frame.link} frame here` };
  }
}

/** Whether a client says that it knows the end of its server, and so has no reason to come back. */
export function isFarewell(session: Session | undefined, frame: DialerFrame): boolean {
  if (frame.link !== "ack") return frame.link === "detach";
  return session?.acknowledge(frame.received) === true && frame.received === session.replay?.sent;
}

/** Does what a manager's frame says; returns why it does not. */
export function obey(bridge: Bridge, frame: DialerFrame, answer: (frame: BridgeFrame) => void): Refusal | undefined {
  switch (frame.link) {
    case "health":
      answer({ link: "health", ...bridge.health() });
      return undefined;
    case "configure":
      bridge.configure(frame.env);
      answer({ link: "configured" });
      return undefined;
    case "lease":
      bridge.renewLease(frame.ttlMs);
      return undefined;
    case "drain":
      if (!frame.whenIdle) bridge.drain();
      else {
        bridge.drainWhenIdle();
        answer({ link: "health", ...bridge.health() });
      }
      return undefined;
    case "detach":
      if (frame.session !== undefined) bridge.dismiss(frame.session);
      return undefined;
    case "exit":
      bridge.stop({ code: 0, why: "a manager asked for it" }, frame.graceMs);
      return undefined;
    default:
      return { kind: "usage", message: `a control connection takes no ${frame.link} frame` };
  }
}

/** The answer to `attach`; without a session on a control connection. */
export function attachedFrame(bridge: Bridge, session: Session | undefined, resumed = false): BridgeFrame {
  return {
    link: "attached",
    version: WIRE_VERSION,
    ...(session ? { session: session.id } : {}),
    resumed,
    received: session?.received ?? 0,
    incarnation: bridge.incarnation,
    limits: {
      messageBytes: bridge.messageBytes,
      queueBytes: LIMITS.queueBytes,
      resumeMs: session?.replay ? bridge.options.resumeMs : 0,
      leaseMs: bridge.leaseMs,
    },
  };
}
