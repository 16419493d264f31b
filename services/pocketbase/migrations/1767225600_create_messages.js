// The `messages` collection: anyone may read it, only superusers may change it.
migrate(
  (app) => {
    const messages = new Collection({
      type: 'base',
      name: 'messages',
      listRule: '',
      viewRule: '',
      createRule: null,
      updateRule: null,
      deleteRule: null,
      fields: [
        { type: 'text', name: 'text', required: true, max: 500 },
        { type: 'autodate', name: 'created', onCreate: true },
        { type: 'autodate', name: 'updated', onCreate: true, onUpdate: true },
      ],
    });
    app.save(messages);

    const record = new Record(messages);
    record.set('text', 'Hello from PocketBase');
    app.save(record);
  },
  (app) => {
    app.delete(app.findCollectionByNameOrId('messages'));
  },
);
