/** Specs for tests, with every default filled in. */
import * as v from "valibot";
import {
  type ServerBody,
  serverBody,
  type ServerBodyInput,
  type ServerSpec,
  serverSpec,
} from "../../src/model/server-spec.ts";

export function parseSpec(input: ServerBodyInput & { name: string }): ServerSpec {
  return v.parse(serverSpec, input);
}

export function parseBody(input: ServerBodyInput): ServerBody {
  return v.parse(serverBody, input);
}
