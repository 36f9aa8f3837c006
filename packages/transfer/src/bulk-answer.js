/** @typedef {import('node:http').ServerResponse} ServerResponse */

/**
 * Whether the kernel has taken it; false when the other side is gone.
 * @param {ServerResponse} response
 * @param {Uint8Array} bytes
 * @returns {Promise<boolean>}
 */
export function sent(response, bytes) {
  return new Promise((resolve) => {
    const { socket } = response.req;
    if (response.destroyed || socket.destroyed) return resolve(false);
    const closed = () => resolve(false);
    socket.once('close', closed);
    response.write(bytes, (error) => {
      socket.removeListener('close', closed);
      resolve(error === null || error === undefined);
    });
  });
}

/**
 * @param {ServerResponse} response
 * @param {number} status
 * @param {Readonly<Record<string, string>>} headers
 */
export function say(response, status, headers = {}) {
  response.writeHead(status, { ...headers, 'content-length': '0' }).end();
}

/**
 * @param {ServerResponse} response
 * @param {unknown} answer
 */
export function sayJson(response, answer) {
  const body = beginJson(response, answer);
  response.end(response.req.method === 'HEAD' ? undefined : body);
}

/**
 * Resolves when the kernel has taken it.
 * @param {ServerResponse} response
 * @param {unknown} answer
 */
export async function sendJson(response, answer) {
  if (await sent(response, beginJson(response, answer))) response.end();
}

/**
 * @param {ServerResponse} response
 * @param {unknown} answer
 */
function beginJson(response, answer) {
  const body = Buffer.from(JSON.stringify(answer));
  response.writeHead(200, {
    'content-type': 'application/json',
    'content-length': String(body.length),
  });
  return body;
}
