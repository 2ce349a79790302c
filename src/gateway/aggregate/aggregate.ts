/**
 * Many servers as one. A client's attachment (attachment.ts) has a part (part.ts) for each server that it uses; what it
 * sees of the others comes from the catalogue, so that none of them is started, or waited for, for a list.
 */
import type { Log } from "../../base/log.ts";
import type { Attachment, Client, Upstream } from "../exchange.ts";
import type { Approvals } from "./approvals.ts";
import { AggregateAttachment } from "./attachment.ts";
import type { Catalogue } from "./catalogue.ts";
import type { View } from "./filter.ts";
import type { Roster } from "./member.ts";

/** What all attachments share. */
export interface Hall {
  roster: Roster;
  catalogue: Catalogue;
  approvals: Approvals;
  log: Log;
  /** How long a list waits for a server of which nothing is known. */
  patienceMs: number;
}

export class Aggregate implements Upstream {
  constructor(
    private readonly hall: Hall,
    private readonly view: View,
    /** The scopes of who asks: see `Selection.allow`. */
    private readonly scopes: readonly string[] | undefined,
  ) {}

  attach(client: Client): Attachment {
    return new AggregateAttachment(this.hall, this.view, this.scopes, client);
  }
}
