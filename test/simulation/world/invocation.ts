import type { Incarnation } from "./incarnation.ts";
import type { Incoming, Network, Reply, Target } from "./network.ts";
import { current, type Owner, runAs } from "./owner.ts";
import type { EntrypointClass } from "./types.ts";

/** One run of a Worker's code that is no object: a client's request, or a call of an entrypoint. It stores nothing, so nothing holds it back. */
export class Invocation implements Owner {
  readonly label: string;
  alive = true;

  constructor(label: string) {
    this.label = label;
  }
  leave(send: () => void): void {
    if (this.alive) send();
  }
  receive(handle: () => void): void {
    if (this.alive) handle();
  }
  readonly context = (props: unknown): ExecutionContext =>
    ({
      props,
      waitUntil: (work: unknown) => void Promise.resolve(work).catch(() => {}),
      passThroughOnException: () => {},
    }) as unknown as ExecutionContext;
}

/** An entrypoint with the props that whoever made the stub gave it. */
export class Entrypoint implements Target {
  readonly label: string;
  readonly #class: EntrypointClass;
  readonly #props: unknown;
  readonly #env: Env;
  readonly #network: Network;

  constructor(name: string, make: EntrypointClass, props: unknown, env: Env, network: Network) {
    this.label = name;
    this.#class = make;
    this.#props = props;
    this.#env = env;
    this.#network = network;
  }

  accept({ from, args }: Incoming, reply: Reply): void {
    const invocation = new Invocation(this.label);
    runAs(invocation, 0, async () => {
      const entrypoint = new this.#class(invocation.context(this.#props), this.#env);
      return this.#network.answer(await entrypoint.fetch(args[0] as Request), invocation, from);
    }).then(reply.ok, reply.fail);
  }
}

/** `ctx.exports` of one copy of an object: what is made from it ends with the object's memory, as an intercept does. */
export function loopback(
  copy: Incarnation,
  classes: Readonly<Record<string, EntrypointClass>>,
  env: Env,
  network: Network,
): object {
  const stub =
    (name: string, make: EntrypointClass) =>
    ({ props }: { props?: unknown }) => ({
      fetch: async (request: Request): Promise<Response> => {
        if (!copy.alive) throw new TypeError(`connect for ${current().owner.label}: connection refused`);
        const target = new Entrypoint(name, make, structuredClone(props), env, network);
        return (await network.call(target, "fetch", [request])) as Response;
      },
    });
  return Object.fromEntries(Object.entries(classes).map(([name, make]) => [name, stub(name, make)]));
}
