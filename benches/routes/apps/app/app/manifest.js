export default function manifest() {
  return { name: 'routes', start_url: '/' };
}
