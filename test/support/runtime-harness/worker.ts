import { DurableObject, WorkerEntrypoint } from "cloudflare:workers";
import { PlatformRuntime } from "../../../src/runtime/platform.ts";
import { MemorySink } from "../memory-sink.ts";
import { runtimeContract } from "../runtime-contract.ts";
import { measure } from "./measure.ts";

/** How a case ended; `problem` is null when the promise is kept. */
export interface Verdict {
  problem: string | null;
  ms: number;
  figures?: Record<string, number>;
}

interface HarnessEnv {
  CARRIER: DurableObjectNamespace<Carrier>;
}
interface SinkProps {
  carrier: string;
}
type SinkExport = { Sink(options: { props: SinkProps }): Fetcher };

/** By the carrier's id. Entrypoints and objects of one Worker share an isolate in `wrangler dev`. */
const sinks = new Map<string, MemorySink>();

/** What a carrier's container finds at `http://sink.internal`. */
export class Sink extends WorkerEntrypoint<HarnessEnv, SinkProps> {
  override async fetch(request: Request): Promise<Response> {
    const sink = sinks.get(this.ctx.props.carrier);
    return sink ? await sink.handle(request) : new Response(null, { status: 404 });
  }
}

/** An object with a container, for one case of the contract. */
export class Carrier extends DurableObject<HarnessEnv> {
  async check(promise: string): Promise<Verdict> {
    const { container } = this.ctx;
    if (!container) return { problem: "the object carries no container", ms: 0 };
    const carrier = this.ctx.id.toString();
    const sink = new MemorySink();
    sinks.set(carrier, sink);
    const runtime = new PlatformRuntime(container);
    const { Sink: sinkOf } = this.ctx.exports as unknown as SinkExport;
    const harness = { runtime, handler: sinkOf({ props: { carrier } }), sink };
    const before = Date.now();
    try {
      if (promise === "measure") return { problem: null, figures: await measure(harness), ms: Date.now() - before };
      const check = runtimeContract[promise];
      if (!check) return { problem: "there is no such promise", ms: 0 };
      await check(harness);
      return { problem: null, ms: Date.now() - before };
    } catch (error) {
      return {
        problem: error instanceof Error ? (error.stack ?? error.message) : String(error),
        ms: Date.now() - before,
      };
    } finally {
      sinks.delete(carrier);
      if (runtime.running) await runtime.destroy("the case is over");
    }
  }
}

export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    if (url.pathname === "/health") return Response.json({ ok: true });
    const carrier = env.CARRIER.getByName(crypto.randomUUID());
    return Response.json(await carrier.check(url.searchParams.get("promise") ?? ""));
  },
} satisfies ExportedHandler<HarnessEnv>;
