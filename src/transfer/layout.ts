/** Where the state of the systems that came before lies in a tar, so that a report can say what it is (F61). Pure. */
export interface Layout {
  layout: "export" | "root" | "clawdbot" | "openclaw";
  /** The directory that it begins at; empty for the tar's own. */
  at: string;
  /** Files and symlinks under it. */
  files: number;
}

const NAMES = { ".clawdbot": "clawdbot", ".openclaw": "openclaw" } as const;
/** How deep a home directory lies in a tar of `/`. */
const DEEPEST = 3;

/** `paths` are those of files and symlinks. */
export function layoutsOf(paths: Iterable<string>, isExport: boolean): Layout[] {
  const found = new Map<string, Layout>();
  const count = (layout: Layout["layout"], at: string) => {
    const known = found.get(`${layout} ${at}`) ?? { layout, at, files: 0 };
    found.set(`${layout} ${at}`, { ...known, files: known.files + 1 });
  };
  for (const path of paths) {
    if (isExport) count("export", "");
    const parts = path.split("/");
    if (parts[0] === "root" && parts.length > 1) count("root", "root");
    for (const [name, layout] of Object.entries(NAMES)) {
      const at = parts.indexOf(name);
      if (at >= 0 && at <= DEEPEST && at < parts.length - 1) count(layout, parts.slice(0, at + 1).join("/"));
    }
  }
  return [...found.values()].sort((a, b) => (a.at < b.at ? -1 : 1));
}
