/**
 * The name of an operation for generated clients, from its method and path alone, so that it never changes by itself:
 * `GET /api/v1/pools/{id}/containers` → `listPoolContainers`, `POST /api/v1/tenants/{id}/claim` → `claimTenant`. A route
 * that reads badly this way names itself. Pure.
 */
export function operationIdOf(method: string, path: string): string {
  const segments = path.split("/").filter((segment) => segment !== "" && segment !== "api" && segment !== "v1");
  const words = segments.flatMap((segment, at) => {
    if (isParameter(segment) || segment === "admin") return [];
    return [isParameter(segments[at + 1] ?? "") ? singular(segment) : segment];
  });
  const last = words.at(-1) ?? "";
  const one = isParameter(segments.at(-1) ?? "");
  const collection = !one && singular(last) !== last;
  switch (method) {
    case "get":
      return camel([collection ? "list" : "get", ...words]);
    case "post":
      if (!collection || segments[0] === "admin") return camel([last, ...words.slice(0, -1)]);
      return camel(["create", ...words.slice(0, -1), singular(last)]);
    case "put":
      return camel([one ? "update" : "set", ...words]);
    case "patch":
      return camel(["update", ...words]);
    default:
      return camel([method, ...words]);
  }
}

const isParameter = (segment: string): boolean => segment.startsWith("{");

/** Of the nouns that paths are made of; what is no plural stays. */
function singular(noun: string): string {
  if (/(?:ss|us|stats|logs)$/.test(noun)) return noun;
  return noun.replace(/ies$/, "y").replace(/s$/, "");
}

const camel = (words: readonly string[]): string =>
  words
    .flatMap((word) => word.split(/[^a-zA-Z0-9]+/))
    .map((word, at) => (at === 0 ? word : word.charAt(0).toUpperCase() + word.slice(1)))
    .join("");
