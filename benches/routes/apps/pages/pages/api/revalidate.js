export default async function handler(request, answer) {
  await answer.revalidate('/shop/isr');
  answer.json({ revalidated: true });
}
