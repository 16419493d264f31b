export default function handler(request, answer) {
  answer.setPreviewData({ draft: true }, { maxAge: 60 });
  answer.redirect('/shop/static');
}
