/** Whether a path passes rclone's `--include` and `--exclude` rules: one include at least, if there are any, and no exclude. */
export function globFilter(include: readonly string[], exclude: readonly string[]): (path: string) => boolean {
  const included = include.map(expressionOf);
  const excluded = exclude.map(expressionOf);
  return (path) =>
    (included.length === 0 || included.some((one) => one.test(path))) && !excluded.some((one) => one.test(path));
}

/** rclone's glob: a leading `/` anchors, a trailing one means all below, `*` stays within a component, `**` does not. */
function expressionOf(glob: string): RegExp {
  const anchored = glob.startsWith("/");
  const body = (anchored ? glob.slice(1) : glob).replace(/\/$/, "/**");
  const expression = body.replace(/\*\*|\*|\?|\\(.)|\{([^}]*)\}|[[\]()^$+.|]/g, (token, escaped, alternatives) => {
    if (token === "**") return ".*";
    if (token === "*") return "[^/]*";
    if (token === "?") return "[^/]";
    if (escaped !== undefined) return quote(escaped);
    if (alternatives !== undefined) return `(?:${alternatives.split(",").map(quote).join("|")})`;
    return token === "[" || token === "]" ? token : quote(token);
  });
  return new RegExp(`${anchored ? "^" : "(?:^|/)"}${expression}$`, "u");
}

const quote = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
