import { DurableObject } from "cloudflare:workers";

/** Worker → Durable Object → container and nothing else: what our proxy is compared with. */
interface BareEnv {
  BARE: DurableObjectNamespace<Bare>;
}

const PORT = 8080;

export class Bare extends DurableObject<BareEnv> {
  /** Starts the container and resolves when its workload answers. */
  async start(): Promise<void> {
    const { container } = this.ctx;
    if (!container) throw new Error("this object has no container");
    if (!container.running) {
      const image = container.images.sandbox;
      if (!image) throw new Error("there is no image named sandbox");
      container.start({
        image,
        env: { BOILERHOUSE_START: "on-boot", BOILERHOUSE_AGENT: "off" },
        enableInternet: false,
      });
    }
    await container.setInactivityTimeout(900_000);
    // Without its keys a container of this image starts nothing (docs/container.md).
    const keys = { method: "POST", body: "bare\nbare\nbare\n" };
    await answers(() => container.getTcpPort(41_800).fetch("http://container/cgi-bin/control?op=boot", keys));
    await answers(() => container.getTcpPort(PORT).fetch("http://container/healthz"));
  }

  override async fetch(request: Request): Promise<Response> {
    const { container } = this.ctx;
    return container ? container.getTcpPort(PORT).fetch(request) : new Response(null, { status: 503 });
  }
}

async function answers(ask: () => Promise<Response>): Promise<void> {
  for (let tries = 0; tries < 1_000; tries += 1) {
    try {
      const response = await ask();
      await response.body?.cancel();
      if (response.ok) return;
    } catch {
      // Nothing listens yet.
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error("the container does not answer");
}

export default {
  async fetch(request: Request, env: BareEnv): Promise<Response> {
    const { pathname } = new URL(request.url);
    const bare = env.BARE.getByName("bare");
    if (pathname === "/health") return new Response("ok\n");
    if (pathname === "/bench/start") {
      await bare.start();
      return new Response("started\n");
    }
    return bare.fetch(request);
  },
};
