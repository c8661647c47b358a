/**
 * The images that a workload may name: the keys of `containers[].images` in wrangler.jsonc, which only an Instance sees
 * when it runs. A unit test compares the two, so that a name is refused when it is registered and not when it is started.
 */
export const IMAGES = ["sandbox"] as const;
