/**
 * The globs of rclone's filters (tried against rclone 1.75: test/unit/sync-glob.test.ts, test/images/glob.test.ts). `*` and `?`
 * stay within a name, `**` does not; `[a-z]` is a class, and `[^a-z]` its opposite, which also matches a slash; `{a,b}` are alternatives; a backslash
 * takes the next character as it is; a leading `/` anchors at the top, without it a glob matches at any depth. `dir/` is `dir/**`.
 */

/** What files of a tree pass. Paths are relative, without a leading slash. */
export interface Filter {
  file(path: string): boolean;
  /** Whether anything below a directory may pass. */
  directory(path: string): boolean;
}

/** What is wrong with a glob; null for one that can be used. Two things that rclone takes are refused: `{{…}}`, and classes by name or by backslash. */
export function globProblem(glob: string): string | null {
  const parsed = parse(glob);
  return "problem" in parsed ? parsed.problem : null;
}

/** Whether any of the globs names a file, or a directory above it, as `--exclude` has it. @throws SyntaxError for a glob with a problem */
export function globMatcher(globs: readonly string[]): (path: string) => boolean {
  const filter = ruleFilter(globs.map((glob) => `- ${glob}`));
  return (path) => !filter.file(path);
}

/** `.rclonelink` is how rclone names a symlink. A glob of a spec means the link by its own name. */
const LINK = ".rclonelink";

/**
 * `--filter` rules for files that one of `include` names (any, if there are none) and none of `exclude`. An `include` with
 * a slash inside counts from the top: rclone looks for it nowhere else. A leading `**` and a slash mean any depth, none
 * included, as everywhere but in rclone, for which a file at the top is in no directory.
 */
export function filterRules(globs: { include?: readonly string[]; exclude?: readonly string[] }): string[] {
  const include = (globs.include ?? []).flatMap(atAnyDepth);
  const exclude = (globs.exclude ?? []).flatMap(atAnyDepth);
  return [
    ...exclude.flatMap((glob) => [`- ${glob}`, ...(/[/*]$/.test(glob) ? [] : [`- ${glob}${LINK}`])]),
    ...include.map(anchored).flatMap((glob) => [`+ ${glob}`, ...(/[/*]$/.test(glob) ? [] : [`+ ${glob}${LINK}`])]),
    ...(include.length > 0 ? ["- /**"] : []),
  ];
}

const atAnyDepth = (glob: string): string[] => {
  const [, rest] = /^\/?(?:\*\*\/)+(.+)$/s.exec(glob) ?? [];
  return rest === undefined ? [glob] : [glob, `/${rest}`];
};

const anchored = (glob: string): string => (/^(?:\/|\*\*)/.test(glob) || !glob.includes("/") ? glob : `/${glob}`);

/**
 * The glob that matches one path: control characters, which rclone rewrites in names, and bytes that are not UTF-8 become
 * `*`, so that it may match a few others as well.
 */
export function literalGlob(path: string): string {
  const escaped = path.replace(/[\\*?[\]{}]/g, "\\$&");
  // U+FF0E, U+FF0F, U+201B and the pictures of control characters are what rclone rewrites names with.
  return `/${escaped.replace(/[\p{Cc}\u2400-\u2426\u201b\uff0e\uff0f\ufffd\u{10ff80}-\u{10ffff}]+/gu, "*")}`;
}

interface Rule {
  passes: boolean;
  pattern: RegExp;
}

/** Rules as `--filter` takes them, the first that matches decides; what none matches passes. @throws SyntaxError for a rule with a problem */
export function ruleFilter(rules: readonly string[]): Filter {
  const files: Rule[] = [];
  const directories: Rule[] = [];
  for (const rule of rules) {
    const passes = rule.startsWith("+ ");
    if (!passes && !rule.startsWith("- ")) throw new SyntaxError(`${rule}: a rule begins with "+ " or "- "`);
    const glob = rule.slice(2);
    const ofDirectory = glob.endsWith("/");
    const pattern = expressionOf(glob, ofDirectory && !passes ? ".*" : "");
    if (!(ofDirectory && passes)) files.push({ passes, pattern });
    // What passes may be in any directory, as far as this has to know.
    if (passes) directories.push({ passes, pattern: /^/ });
    else if (ofDirectory || glob.includes("**")) directories.push({ passes, pattern });
  }
  const looked = new Map<string, boolean>([["", true]]);
  const directory = (path: string): boolean => {
    const known = looked.get(path);
    if (known !== undefined) return known;
    const passes = directory(parentOf(path)) && decide(directories, `${path}/`);
    looked.set(path, passes);
    return passes;
  };
  return { file: (path) => directory(parentOf(path)) && decide(files, path), directory };
}

const decide = (rules: readonly Rule[], text: string): boolean =>
  rules.find(({ pattern }) => pattern.test(text))?.passes ?? true;

const parentOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf("/")));

/** `more`: added to the glob. */
function expressionOf(glob: string, more: string): RegExp {
  const parsed = parse(glob);
  if ("problem" in parsed) throw new SyntaxError(`${glob} ${parsed.problem}`);
  return new RegExp(`${glob.startsWith("/") ? "^" : "(?:^|/)"}${parsed.body}${more}$`, "su");
}

type Parsed = { body: string } | { problem: string };
const TOKEN = /\\(.?)|\[((?:\^?)[^\]]*)(\]?)|(\*+)|[?{},\]]|./gsu;

/** The body of an expression: without anchors. */
function parse(glob: string): Parsed {
  let body = "";
  let depth = 0;
  if (glob === "" || glob === "/") return { problem: "names nothing" };
  if (glob.includes("{{")) return { problem: "must be a glob: regular expressions in {{ }} are not taken" };
  for (const { 0: token, 1: escaped, 2: members, 3: end, 4: stars } of glob.replace(/^\//, "").matchAll(TOKEN)) {
    if (escaped !== undefined) {
      if (!/^[^A-Za-z0-9]$/u.test(escaped))
        return { problem: "has a backslash that is not before a special character" };
      body += quote(escaped);
    } else if (members !== undefined) {
      if (end === "") return { problem: "has a [ or { that is not closed, or closed without being opened" };
      if (/[[\\]/.test(members) || /^\^?$/.test(members))
        return { problem: "has a class that is empty or has [ or \\ in it" };
      if (!isClass(members)) return { problem: `has the class [${members}], which is not one` };
      body += `[${members}]`;
    } else if (stars !== undefined) {
      if (stars.length > 2) return { problem: "has more than two * in a row" };
      body += stars === "**" ? ".*" : "[^/]*";
    } else if (token === "?") body += "[^/]";
    else if (token === "{") {
      depth += 1;
      body += "(?:";
    } else if (token === "}") {
      depth -= 1;
      body += ")";
    } else if (token === "," && depth > 0) body += "|";
    else if (token === "]") depth = -1;
    else body += quote(token);
    if (depth < 0) break;
  }
  return depth === 0 ? { body } : { problem: "has a [ or { that is not closed, or closed without being opened" };
}

function isClass(members: string): boolean {
  try {
    return new RegExp(`[${members}]`, "u") !== null;
  } catch {
    return false;
  }
}

const quote = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
