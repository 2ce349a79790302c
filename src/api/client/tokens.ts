/** The routes of access tokens as methods. */
import * as v from "valibot";
import { Deadline } from "../../base/deadline.ts";
import { REQUEST_MS } from "../../model/rest.ts";
import { type TokenBodyInput, type TokenMade, type TokenView, tokenMade, tokenView } from "../../model/tokens.ts";
import { exchange } from "./http.ts";
import { ManagerCalls } from "./calls.ts";

/** Every method throws a `Fault`, as those of the client do. */
export class TokenClient extends ManagerCalls {
  list(): Promise<TokenView[]> {
    return this.json(v.array(tokenView), "GET", "/tokens", "the list of tokens");
  }

  /** The token is in this answer, and nowhere else. */
  create(body: TokenBodyInput): Promise<TokenMade> {
    return this.json(tokenMade, "POST", "/tokens", `the token ${body.name}`, {}, false, body);
  }

  async revoke(name: string): Promise<void> {
    const { signal } = Deadline.in(REQUEST_MS);
    const path = `/tokens/${encodeURIComponent(name)}`;
    await exchange(this.target, { method: "DELETE", path, signal, what: `the end of the token ${name}` });
  }
}
