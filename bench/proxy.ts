import { WebSocket } from "ws";
import type { Stack } from "../scripts/stack/stack.ts";
import { step } from "../scripts/steps.ts";
import { Client } from "./harness/client.ts";
import type { Counts } from "./harness/counts.ts";
import { observed, promised, type Result } from "./harness/result.ts";
import { bare, product } from "./harness/stacks.ts";
import { median } from "./harness/statistics.ts";
import { Api } from "./harness/tenants.ts";

const POOL = "plain";
const TENANT = "bench";
const COMPARED = "bare Worker → object → container";

/** Requests through the proxy beside the same through the shortest way that the platform has, one after the other in turn. */
export async function proxy(counts: Counts): Promise<Result[]> {
  const ours = await product();
  const theirs = await bare();
  const api = new Api(ours);
  const short = new Client(theirs.port);
  await short.must("GET", "/bench/start");
  await api.workload({ id: POOL });
  await api.pool(POOL, POOL, 1);
  await api.fill(POOL, 1);
  await api.claim(TENANT, { poolId: POOL });

  const through = await step("HTTP, in turn", () => inTurn(api.client, short, counts.requests));
  const echo = await step("WebSocket echo, in turn", () => echoes(ours, theirs, counts.requests));
  const busy = await step("HTTP, 32 callers", async () => ({
    ours: await callers(() => api.client.must("GET", `/t/${TENANT}/healthz`), counts.requests * 4),
    theirs: await callers(() => short.must("GET", "/healthz"), counts.requests * 4),
  }));
  api.client.close();
  short.close();

  const [our, their] = [median(through.ours), median(through.theirs)];
  return [
    promised("proxy.ratio", through.ours, {
      value: our / their,
      note: `${our.toFixed(2)} ms against ${their.toFixed(2)} ms`,
    }),
    promised("proxy.echo", echo.ours, { compared: { with: COMPARED, value: median(echo.theirs) } }),
    observed("proxy", "proxied HTTP request", "ms", through.ours, { compared: { with: COMPARED, value: their } }),
    observed("proxy", "proxied HTTP requests a second, 32 callers", "per s", [busy.ours], {
      compared: { with: COMPARED, value: busy.theirs },
    }),
  ];
}

interface Pairs {
  readonly ours: number[];
  readonly theirs: number[];
}

/** Who goes first changes with every pair; the first tenth is for warming up. */
async function inTurn(api: Client, short: Client, n: number): Promise<Pairs> {
  const pairs: Pairs = { ours: [], theirs: [] };
  const our = async () => pairs.ours.push((await api.must("GET", `/t/${TENANT}/healthz`)).ms);
  const their = async () => pairs.theirs.push((await short.must("GET", "/healthz")).ms);
  const warming = Math.ceil(n / 10);
  for (let index = 0; index < n + warming; index += 1) {
    for (const go of index % 2 === 0 ? [our, their] : [their, our]) await go();
  }
  return { ours: pairs.ours.slice(warming), theirs: pairs.theirs.slice(warming) };
}

async function echoes(ours: Stack, theirs: Stack, n: number): Promise<Pairs> {
  const our = await open(`ws://127.0.0.1:${ours.port}/t/${TENANT}/echo`, { authorization: `Bearer ${ours.adminKey}` });
  const their = await open(`ws://127.0.0.1:${theirs.port}/echo`, {});
  const pairs: Pairs = { ours: [], theirs: [] };
  const warming = Math.ceil(n / 10);
  for (let index = 0; index < n + warming; index += 1) {
    pairs.ours.push(await echo(our, `message ${index}`));
    pairs.theirs.push(await echo(their, `message ${index}`));
  }
  our.close();
  their.close();
  return { ours: pairs.ours.slice(warming), theirs: pairs.theirs.slice(warming) };
}

function open(url: string, headers: Record<string, string>): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, { headers, perMessageDeflate: false });
    socket.once("open", () => resolve(socket));
    socket.once("error", reject);
  });
}

function echo(socket: WebSocket, text: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const startedAt = performance.now();
    socket.once("message", (data) => {
      if (String(data) === text) resolve(performance.now() - startedAt);
      else reject(new Error(`the echo of ${text} was ${data}`));
    });
    socket.send(text);
  });
}

/** Requests a second of 32 callers that each wait for their answer. */
async function callers(go: () => Promise<unknown>, n: number): Promise<number> {
  let left = n;
  const startedAt = performance.now();
  await Promise.all(
    Array.from({ length: 32 }, async () => {
      while (left-- > 0) await go();
    }),
  );
  return (n * 1_000) / (performance.now() - startedAt);
}
