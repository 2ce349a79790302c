import { describe } from "bun:test";
import { engineTest } from "../support/engine.ts";
import { testClients } from "./clients.ts";
import { fixtureBody } from "./images.ts";

describe("clients of servers that run in containers", () => {
  testClients({ runtime: "docker", test: engineTest, modern: () => fixtureBody("modern-server") });
});
