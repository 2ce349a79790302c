/** Access tokens for MCP clients. They open no route of this API. */
import * as v from "valibot";
import { tokenBody, tokenMade, tokenName, tokenView } from "../../model/tokens.ts";
import { route } from "../route.ts";

export const tokenRoutes = [
  route({
    method: "GET",
    path: "/tokens",
    id: "tokens",
    summary: "Access tokens, without the tokens themselves",
    answers: "What each may reach, and when it was used last.",
    answer: v.array(tokenView),
    run: ({ manager }) => manager.access.list(),
  }),
  route({
    method: "POST",
    path: "/tokens",
    id: "createToken",
    summary: "Make an access token for MCP clients",
    body: tokenBody,
    level: "moderate",
    deed: "making an access token",
    answers: "The token, which is not shown again.",
    answer: tokenMade,
    faults: ["conflict", "exhausted", "unreachable"],
    run: ({ manager, body }) => manager.access.create(body),
  }),
  route({
    method: "DELETE",
    path: "/tokens/:name",
    id: "revokeToken",
    summary: "Revoke an access token; open sessions and streams of it end",
    params: { name: tokenName },
    level: "moderate",
    deed: "revoking an access token",
    answers: "It is not valid any more.",
    faults: ["not-found", "unreachable"],
    run: ({ manager, name }) => {
      manager.access.revoke(name);
      return undefined;
    },
  }),
];
