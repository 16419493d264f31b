// Who is answering. Both are set in the environment of the running server, so
// read them at request time only: a static page would freeze the build's values.

/** This process, for example `web-0@7`. */
export function instance(): string {
  return process.env.INSTANCE || 'local';
}

/** The release it runs: `RELEASE`, else the part of the instance after `@`. */
export function release(): string {
  return process.env.RELEASE || instance().split('@')[1] || 'none';
}
