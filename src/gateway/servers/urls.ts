/**
 * A legacy server's error -32042: pages must be visited first, then the call is to be sent again. For a client of the
 * modern era they are questions of this call, which goes to the same process again, since only that one knows what was
 * visited.
 */
import { isRecord } from "../clients/message.ts";
import { sleep } from "../../base/deadline.ts";
import type { Exchange, RpcError } from "../exchange.ts";
import type { Answer } from "./conversation.ts";

const URLS_REQUIRED = -32042;
const ROUNDS_MAX = 8;
const PAGES_MAX = 16;
/** A server may tell when a page was visited; the call is sent again then, or after this. */
const COMPLETE_MS = 5_000;

interface Page {
  message: string;
  url: string;
  elicitationId: string;
}

export class Urls {
  /** Pages of which the end is awaited. */
  private readonly awaited = new Map<string, () => void>();

  /** Ends in an answer that is none of these errors. */
  async visited(exchange: Exchange, first: Answer, again: () => Promise<Answer>): Promise<Answer> {
    let answer = first;
    for (let round = 0; "error" in answer && answer.error.code === URLS_REQUIRED; round++) {
      const pages = pagesOf(answer.error);
      if (!exchange.ask || pages.length === 0 || round === ROUNDS_MAX) return plain(answer.error);
      for (const page of pages) {
        if (!(await this.visit(exchange, page))) return plain(answer.error);
      }
      answer = await again();
    }
    return answer;
  }

  completed(id: unknown): void {
    if (typeof id === "string") this.awaited.get(id)?.();
  }

  private async visit(exchange: Exchange, { message, url, elicitationId }: Page): Promise<boolean> {
    const { signal } = exchange;
    const complete = new Promise<void>((resolve) => this.awaited.set(elicitationId, resolve));
    try {
      const params = { mode: "url", message, url };
      const answer = await exchange.ask?.({ method: "elicitation/create", params }, signal).catch(() => undefined);
      if (answer?.action !== "accept") return false;
      const late = new AbortController();
      await Promise.race([complete, sleep(COMPLETE_MS, AbortSignal.any([signal, late.signal])).catch(() => {})]);
      late.abort();
      return true;
    } finally {
      this.awaited.delete(elicitationId);
    }
  }
}

function pagesOf({ data }: RpcError): Page[] {
  const listed = isRecord(data) && Array.isArray(data.elicitations) ? data.elicitations.slice(0, PAGES_MAX) : [];
  return listed.filter(isPage);
}

function isPage(value: unknown): value is Page {
  if (!isRecord(value)) return false;
  return [value.message, value.url, value.elicitationId].every((one) => typeof one === "string");
}

/** The code means nothing to a modern client. */
function plain({ message }: RpcError): Answer {
  return { error: { code: -32603, message } };
}
