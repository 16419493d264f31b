// What is done in a tab that was opened before a deploy. Each check has a tab of its own, because a tab that Next.js loaded
// anew is one of the live release.
//
// `act` does what a visitor does, and returns what the visitor should see then. `asks` tells whether a request is the one
// that the check is about: without it, nothing was tried. A link that was prefetched may need none.

const WORD = 'word';

const isChunk = (url) => url.pathname.startsWith('/_next/static/') && url.pathname.endsWith('.js');
const isPart = (url) => url.searchParams.has('_rsc');
const isAction = (path) => (url, method) => url.pathname === path && method === 'POST';

/** Follows a link of the start page. */
function follow(id) {
  return async (tab) => {
    await tab.click(`#${id}`);
    return { selector: '#shown', text: `the ${id} page, release` };
  };
}

/** Fills in a form and sends it. */
async function send(tab) {
  await tab.page.locator('#word').fill(WORD);
  await tab.click('#send');
}

/** Goes to an image that was too far away to be loaded. */
function look(id) {
  return async ({ page }) => {
    await page.locator(`#${id}`).scrollIntoViewIfNeeded();
    await page.waitForFunction((name) => {
      const image = document.getElementById(name);
      return image.complete && image.naturalWidth > 0;
    }, id);
  };
}

const isImage = (part) => (url) =>
  url.pathname === '/_next/image' && url.searchParams.get('url').includes(part);

export const CHECKS = [
  {
    name: '`<Link>`, page made by the build, prefetched',
    path: '/',
    hasScript: true,
    act: follow('next'),
  },
  {
    name: '`<Link>`, page made by the build, not prefetched',
    path: '/',
    hasScript: true,
    act: follow('still'),
    asks: isPart,
  },
  {
    name: '`<Link>`, page rendered at each request',
    path: '/',
    hasScript: true,
    act: follow('later'),
    asks: isPart,
  },
  {
    name: 'chunk loaded on a click',
    path: '/',
    hasScript: true,
    async act(tab) {
      await tab.click('#load');
      return { selector: '#lazy', text: `lazy part, release ${tab.release}` };
    },
    asks: isChunk,
  },
  {
    name: 'server action, `onClick`',
    path: '/',
    hasScript: true,
    async act(tab) {
      await tab.click('#ask');
      return { selector: '#answer', text: 'answer to a click, release' };
    },
    asks: isAction('/'),
  },
  {
    name: 'server action, `useActionState`, sets a cookie',
    path: '/save',
    hasScript: true,
    async act(tab) {
      await send(tab);
      return { selector: '#kept', text: `kept ${WORD} 1 release` };
    },
    asks: isAction('/save'),
  },
  {
    name: 'form without JavaScript, `useActionState`',
    path: '/save',
    hasScript: false,
    async act(tab) {
      await send(tab);
      await tab.reads('#said', `said ${WORD}, release`);
      return { selector: '#kept', text: `kept ${WORD} 1 release` };
    },
    asks: isAction('/save'),
  },
  {
    name: 'form without JavaScript, encrypted values, redirect',
    path: '/plain',
    hasScript: false,
    async act(tab) {
      await send(tab);
      return { selector: '#noted', text: `noted ${WORD} in a page of ${tab.release}, release` };
    },
    asks: isAction('/plain'),
  },
  {
    name: '`next/image`, by its path',
    path: '/pictures',
    hasScript: true,
    act: look('public'),
    asks: isImage('picture'),
  },
  {
    name: '`next/image`, imported',
    path: '/pictures',
    hasScript: true,
    act: look('imported'),
    asks: isImage('imported'),
  },
  {
    name: '`next/image`, imported, and another one in each release',
    path: '/pictures',
    hasScript: true,
    act: look('changing'),
    asks: isImage('changing'),
  },
];
