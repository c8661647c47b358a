/** `cloudflare:workers` in the simulated world: the part of it that `src` uses. */
class Carrier {
  readonly ctx: unknown;
  readonly env: unknown;
  constructor(ctx: unknown, env: unknown) {
    this.ctx = ctx;
    this.env = env;
  }
}
export class DurableObject extends Carrier {}
export class WorkerEntrypoint extends Carrier {}
