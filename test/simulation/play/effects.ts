import { decodeRoute, ROUTE_HEADER, verdictOf } from "../../../src/proxy/internal.ts";
import { servedTenants } from "../audit/containers.ts";
import { accepted, reached, repeated, told } from "../audit/serving.ts";
import type { World } from "../world/types.ts";
import type { Ledger } from "./ledger.ts";
import { ONCE_HEADER } from "./names.ts";
import type { Watch } from "./watch.ts";

/** The auditor at the moments of effects: a request that an Instance takes, or a workload gets; a container that is told to end. */
export function watchEffects(world: World, ledger: Ledger, watch: Watch): void {
  watchWorkloads(world, ledger, watch);
  watchInstances(world, watch);
}

/** What every workload is sent, and what it answers. */
function watchWorkloads(world: World, ledger: Ledger, watch: Watch): void {
  /** How often each request reached a workload. */
  const requests = new Map<string, number>();
  const gets = (containerId: string, tenantId: string, request: Request) => {
    const name = request.headers.get(ONCE_HEADER);
    world.note(`Container/${containerId} gets ${request.method} of ${tenantId}`);
    if (name !== null) {
      const times = (requests.get(name) ?? 0) + 1;
      requests.set(name, times);
      watch.report(repeated(name, request.method, times));
    }
    const { tenants } = ledger.container(containerId);
    tenants.add(tenantId);
    watch.report(servedTenants(containerId, tenants));
    const record = watch.tenant(tenantId);
    const holding = {
      state: record?.state ?? "unknown",
      held: record?.held ?? null,
      leaving: record?.retiring.map((slot) => slot.containerId) ?? [],
    };
    watch.report(reached({ containerId, tenantId }, holding));
  };
  const { prototype } = world.modules.SimulatedContainer;
  const serve = prototype.serve;
  prototype.serve = async function (port, request) {
    const id = this.spec.labels.container ?? "";
    const isWorkload = port < 41_800;
    const tenantId = request.headers.get("x-boilerhouse-tenant");
    const isThere = isWorkload && this.running && !this.frozen && this.init.workload() !== null;
    if (isThere && tenantId !== null) gets(id, tenantId, request);
    const response = await serve.call(this, port, request);
    if (!isWorkload) return response;
    const known = ledger.container(id);
    known.answered = true;
    if (tenantId !== null && (request.method === "PUT" || request.method === "DELETE")) {
      known.written = true;
      ledger.note(tenantId, id, this);
    }
    return response;
  };
}

interface InstancePrototype {
  readonly ctx: DurableObjectState;
  fetch(request: Request): Promise<Response>;
  retire(reason: string): Promise<unknown>;
}

/** Every request that an Instance took, with the epoch of its sender; and every end that it was asked for. */
function watchInstances(world: World, watch: Watch): void {
  const { prototype } = world.modules.Instance as unknown as { prototype: InstancePrototype };
  const { fetch, retire } = prototype;
  prototype.fetch = async function (request) {
    const routed = decodeRoute(request.headers.get(ROUTE_HEADER));
    const held = routed && (watch.tenant(routed.tenantId)?.held ?? null);
    const response = await fetch.call(this, request);
    const verdict = verdictOf(response);
    if (verdict !== null) world.note(`Instance/${this.ctx.id.name} says ${verdict}`);
    if (routed && verdict === null) watch.report(accepted(routed, { held }));
    return response;
  };
  prototype.retire = async function (reason) {
    const id = this.ctx.id.name ?? "";
    watch.report(told(id, reason, watch.holderOf(id)));
    return retire.call(this, reason);
  };
}
