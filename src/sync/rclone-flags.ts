/**
 * Options of rclone that a sync spec may add: what tunes a transfer. Everything that names another place, reads a file,
 * runs a command, or takes a guard away is not here. Each with the form of its value; null: it takes none.
 */
const SIZE = /^\d{1,6}[KMG]?i?$/i;
const COUNT = /^[1-9]\d{0,2}$/;
const DURATION = /^\d{1,6}(?:ms|s|m|h)$/;

const ALLOWED: Readonly<Record<string, RegExp | null>> = {
  "--transfers": COUNT,
  "--checkers": COUNT,
  "--bwlimit": SIZE,
  "--buffer-size": SIZE,
  "--max-size": SIZE,
  "--min-size": SIZE,
  "--max-age": DURATION,
  "--min-age": DURATION,
  "--max-delete": /^\d{1,9}$/,
  "--max-depth": COUNT,
  "--low-level-retries": COUNT,
  "--modify-window": DURATION,
  "--checksum": null,
  "--fast-list": null,
  "--ignore-existing": null,
  "--size-only": null,
  "--update": null,
  "--s3-chunk-size": SIZE,
  "--s3-upload-cutoff": SIZE,
  "--s3-upload-concurrency": COUNT,
  "--s3-storage-class": /^[A-Z_]{1,32}$/,
};

/** What is wrong with `--name` or `--name=value`; null for one that may be used. Pure. */
export function flagProblem(flag: string): string | null {
  const [name = "", ...rest] = flag.split("=");
  if (!Object.hasOwn(ALLOWED, name)) {
    return `is not an option that may be added; there are ${Object.keys(ALLOWED).join(", ")}`;
  }
  const form = ALLOWED[name] ?? null;
  if (form === null) return rest.length === 0 ? null : `${name} takes no value`;
  return form.test(rest.join("=")) ? null : `needs a value, as in ${name}=${EXAMPLES.get(form) ?? "1"}`;
}

const EXAMPLES = new Map([
  [SIZE, "16Mi"],
  [COUNT, "8"],
  [DURATION, "30s"],
]);
