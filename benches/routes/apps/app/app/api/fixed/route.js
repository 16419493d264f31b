export const dynamic = 'force-static';

export const GET = () => Response.json({ fixed: 'x'.repeat(2000) });
