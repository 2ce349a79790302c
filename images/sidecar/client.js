// An application's side of the sidecar: newline-delimited JSON-RPC on 127.0.0.1:8081, in any language that has sockets.
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { createInterface } from "node:readline";

const socket = connect(8081, "127.0.0.1");
const send = (message) => socket.write(`${JSON.stringify(message)}\n`);
const lines = createInterface({ input: socket })[Symbol.asyncIterator]();

/** The answer to one request; notifications that come before it are passed over. */
async function request(id, method, params) {
  send({ jsonrpc: "2.0", id, method, params });
  for (;;) {
    const { value, done } = await lines.next();
    if (done) throw new Error("the connection ended");
    const message = JSON.parse(value);
    if (message.link === "error") throw new Error(message.message);
    if (message.id === id && "method" in message === false) return message.result ?? Promise.reject(message.error);
  }
}

// The first line says which server is meant, and shows the token.
send({ link: "attach", server: "everything", token: readFileSync("/data/linkspan/token", "utf8").trim() });
await request(1, "initialize", {
  protocolVersion: "2025-06-18",
  capabilities: {},
  clientInfo: { name: "example", version: "1" },
});
send({ jsonrpc: "2.0", method: "notifications/initialized" });
const { tools } = await request(2, "tools/list");
console.log(`tools: ${tools.map(({ name }) => name).join(", ")}`);
const { content } = await request(3, "tools/call", { name: "get-sum", arguments: { a: 2, b: 40 } });
console.log(content[0].text);
socket.end();
