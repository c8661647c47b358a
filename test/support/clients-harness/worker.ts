import { DurableObject } from "cloudflare:workers";
import { epoch } from "../../../src/ids.ts";
import { claimTar } from "../../../src/instance/claim-tar.ts";
import { ControlClient } from "../../../src/instance/control.ts";
import { PlatformRuntime } from "../../../src/runtime/platform.ts";
import type { SaveRef, StorageProps, VaultApi } from "../../../src/vault/types.ts";
import { randomName, STATE_DIR, text, until, value } from "../runtime-contract/harness.ts";

export { StorageGateway } from "../../../src/gateway/storage/entrypoint.ts";
export { Vault } from "../../../src/vault/object.ts";

interface HarnessEnv {
  CARRIER: DurableObjectNamespace<Carrier>;
  VAULT: DurableObjectNamespace;
}
type GatewayExport = { StorageGateway(options: { props: StorageProps }): Fetcher };

/** What a script in the container came to. */
export interface Ran {
  exitCode: number;
  stdout: string;
  stderr: string;
}

const ACTOR = { epoch: epoch(1), incarnation: "c-clients" };

/** A tenant's container whose state directory is saved when a test says so, by whatever the test runs in it. */
export class Carrier extends DurableObject<HarnessEnv> {
  #runtime: PlatformRuntime | null = null;
  #control: ControlClient | null = null;
  #save: SaveRef | null = null;
  #saves = 0;
  /** Of this start: a vault that is there already has saves of an earlier one. */
  readonly #tenantId = `clients-${randomName()}`;

  /** Starts it with an empty state directory; answers the boot's access key. */
  async start(): Promise<{ accessKeyId: string }> {
    const { container } = this.ctx;
    if (!container) throw new Error("the object carries no container");
    const runtime = new PlatformRuntime(container);
    const { StorageGateway } = this.ctx.exports as unknown as GatewayExport;
    const keys = { bootId: randomName(), bootKey: randomName(), accessKeyId: randomName() };
    const env = { BOILERHOUSE_START: "on-claim", BOILERHOUSE_STATE_DIR: STATE_DIR, BOILERHOUSE_AGENT: "off" };
    const { accessKeyId } = keys;
    await runtime.intercept(
      "sink.internal",
      StorageGateway({ props: { tenantId: this.#tenantId, poolId: "none", ...ACTOR, accessKeyId } }),
    );
    runtime.start({ image: "clients", tier: "lite", labels: {}, internet: false, env });
    const control = new ControlClient(runtime, keys);
    await until(async () => (await control.boot(1_000)).ok, 60_000);
    value(await this.#vault.fence(ACTOR.epoch, ACTOR.incarnation));
    value(await control.claim(ACTOR.epoch, claimTar({ state: "fresh" }), 30_000));
    this.#runtime = runtime;
    this.#control = control;
    return { accessKeyId };
  }

  /** Runs a script as root. */
  async run(script: string, timeoutMs: number): Promise<Ran> {
    if (this.#runtime === null) throw new Error("it was not started");
    const { exitCode, stdout, stderr } = await this.#runtime.exec(["bash", "-euc", script], { timeoutMs });
    return { exitCode, stdout: text(stdout), stderr: text(stderr) };
  }

  /** Opens a save of the state directory as it is now. */
  async open(): Promise<{ entries: number }> {
    if (this.#control === null) throw new Error("it was not started");
    const { entries } = value(await this.#control.manifest(10_000));
    this.#save = { ...ACTOR, saveId: `save-${++this.#saves}` };
    value(await this.#vault.open(this.#save, entries));
    return { entries: entries.length };
  }

  /** Commits it: what was sent must be what the state directory had. */
  async commit(): Promise<unknown> {
    if (this.#save === null) throw new Error("no save is open");
    return await this.#vault.commit(this.#save, { force: false });
  }

  /** Another container becomes the tenant's; this one is not told, and goes on. Answers what the Vault has. */
  async supersede(): Promise<unknown> {
    value(await this.#vault.fence(epoch(ACTOR.epoch + 1), "c-successor"));
    return this.#vault.describe();
  }

  async describe(): Promise<unknown> {
    return this.#vault.describe();
  }

  async stop(): Promise<void> {
    await this.#runtime?.destroy("the suite is over");
  }

  get #vault(): VaultApi {
    return this.env.VAULT.getByName(this.#tenantId) as unknown as VaultApi;
  }
}

export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    if (pathname === "/health") return Response.json({ ok: true });
    const carrier = env.CARRIER.getByName("clients");
    switch (pathname) {
      case "/start":
        return Response.json(await carrier.start());
      case "/run": {
        const { script, timeoutMs } = (await request.json()) as { script: string; timeoutMs: number };
        return Response.json(await carrier.run(script, timeoutMs));
      }
      case "/open":
        return Response.json(await carrier.open());
      case "/commit":
        return Response.json(await carrier.commit());
      case "/supersede":
        return Response.json(await carrier.supersede());
      case "/describe":
        return Response.json(await carrier.describe());
      case "/stop":
        await carrier.stop();
        return Response.json({});
      default:
        return new Response(null, { status: 404 });
    }
  },
} satisfies ExportedHandler<HarnessEnv>;
