import type { Home } from "./home.ts";
import type { Network } from "./network.ts";
import type { ObjectClass } from "./types.ts";

/** A binding to a class of objects: stubs by name, whose methods are calls over the network. */
export function namespace(
  kind: ObjectClass,
  homeOf: (kind: ObjectClass, name: string) => Home,
  network: Network,
): object {
  const stub = (name: string) =>
    new Proxy(
      {},
      {
        get: (_target, property) => {
          if (typeof property !== "string" || property === "then") return undefined;
          if (property === "name") return name;
          return (...args: unknown[]) => network.call(homeOf(kind, name), property, args);
        },
      },
    );
  const byId = (id: { name?: string }) => {
    if (id.name === undefined) throw new Error("The simulated platform finds objects by their names only.");
    return stub(id.name);
  };
  return { getByName: stub, idFromName: (name: string) => ({ name, toString: () => `${kind}/${name}` }), get: byId };
}
