/** Which methods a path answers to, in the order of the alphabet; empty for a path that nothing is at. Pure. */
export function allowedMethods(routes: readonly { method: string; path: string }[], path: string): string[] {
  const methods = new Set<string>();
  for (const route of routes) {
    if (route.method === "ALL" || !patternOf(route.path).test(path)) continue;
    methods.add(route.method);
    if (route.method === "GET") methods.add("HEAD");
  }
  return [...methods].sort();
}

const patternOf = (path: string): RegExp =>
  new RegExp(
    `^${path
      .replace(/[.]/g, "\\.")
      .replace(/:[A-Za-z]+(\{[^}]*\})?/g, (_, rest?: string) => (rest ? ".*" : "[^/]+"))}$`,
  );
