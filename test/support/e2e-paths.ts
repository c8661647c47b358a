import { LOCAL } from "../../scripts/paths.ts";

/** State directories of the end-to-end suites' stacks, one each. */
export const STACKS = `${LOCAL}/e2e`;
