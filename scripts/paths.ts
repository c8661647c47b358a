import { dirname } from "node:path";

/** The repository's root, without a trailing slash. */
export const ROOT = dirname(import.meta.dirname);

/** What running it leaves behind in a checkout; ignored by git. */
export const LOCAL = `${ROOT}/.boilerhouse`;
