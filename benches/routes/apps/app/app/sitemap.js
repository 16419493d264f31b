export default function sitemap() {
  return [{ url: 'https://example.org/', lastModified: new Date(0) }];
}
